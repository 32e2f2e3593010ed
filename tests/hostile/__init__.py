"""Programs that attack the kit: tables of kinds, from which batches are made."""
