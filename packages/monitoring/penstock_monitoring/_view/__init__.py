"""The live view: a page that the monitor serves, and `penstock top`, both made from the snapshot alone."""
