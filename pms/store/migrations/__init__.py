"""How PMS's own tables came to be; OpenFarm's are never touched here."""
