ALTER TABLE endpoint ADD COLUMN rules TEXT; -- JSON; NULL when none is set
