"""What every other room stands on: errors, records, processes, progress. Knows nothing of cells."""
