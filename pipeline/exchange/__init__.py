"""What other programs write and read: tables of layouts, masks, downloads and exports."""
