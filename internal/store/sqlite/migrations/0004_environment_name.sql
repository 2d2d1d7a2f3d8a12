CREATE UNIQUE INDEX environment_name ON environment (name);
