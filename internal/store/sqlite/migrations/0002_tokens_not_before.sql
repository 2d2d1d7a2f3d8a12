ALTER TABLE application ADD COLUMN tokens_not_before INTEGER NOT NULL DEFAULT 0; -- customers' tokens issued until then are refused
