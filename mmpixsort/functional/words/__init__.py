"""Losses and operations that relate words to images and their regions."""
