ALTER TABLE application ADD COLUMN version INTEGER NOT NULL DEFAULT 1; -- rises with every change of it or of one of its endpoints
