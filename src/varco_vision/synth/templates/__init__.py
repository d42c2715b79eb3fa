"""Lists of wordings by subject; importing this package defines all of them in `phrasing.WORDINGS`."""

from varco_vision.synth.templates import images, objects, pages, reading, text

__all__ = ["images", "objects", "pages", "reading", "text"]
