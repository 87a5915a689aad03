"""Files of pictures: from what microscopes and other programs write to planes of numbers."""
