"""One module per bar: what is measured, against whom, and how much is allowed. Found by a package walk."""
