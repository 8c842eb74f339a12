-- Where a process runs, for who looks for it. The release before this one says nothing.
ALTER TABLE replicas ADD COLUMN host text NOT NULL DEFAULT '';
