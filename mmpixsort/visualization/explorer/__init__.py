"""Make the explorer, an HTML page that shows why segments got a class.

`explained` describes what a page shows, `layers` draws the pictures over the
image, and `page` fills the template in the files `explorer.html`,
`explorer.css` and `explorer.js`.
"""
