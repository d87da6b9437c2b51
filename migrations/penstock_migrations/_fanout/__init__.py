"""Finds fan-outs in a module, says what they start, and decides how each is mended."""
