"""What all other packages use: errors, records, processes, progress. Knows nothing of cells."""
