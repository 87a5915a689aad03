"""What the commands do: each stage turns artefacts into artefacts."""
