"""What other programs write and read: tables, downloads, exports."""
