"""What is made of a report: comparisons, and one file for each format."""
