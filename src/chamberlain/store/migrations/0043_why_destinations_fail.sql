-- Why a server failed last; NULL while it answers.
ALTER TABLE destinations ADD COLUMN last_error TEXT;
