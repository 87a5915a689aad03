"""What comes in: pictures, samples, labels, tables of other programs, and the data set made of them."""
