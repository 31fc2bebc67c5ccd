"""Commands that fetch everything locked and carry it to other machines."""
