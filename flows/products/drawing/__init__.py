"""Draws with Pillow: a canvas of palette numbers, colour maps, ticks."""
