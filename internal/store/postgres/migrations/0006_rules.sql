ALTER TABLE endpoint ADD COLUMN rules text; -- JSON; NULL when none is set
