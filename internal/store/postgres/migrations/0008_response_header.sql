ALTER TABLE attempt ADD COLUMN response_header bytea; -- hark.EncodeHeader; NULL when it was not kept
