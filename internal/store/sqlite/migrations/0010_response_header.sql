ALTER TABLE attempt ADD COLUMN response_header BLOB; -- hark.EncodeHeader; NULL when it was not kept
