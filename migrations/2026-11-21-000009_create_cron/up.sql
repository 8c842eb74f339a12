-- What is due when. The program declares its entries at every start; from then on the row decides, so that processes of
-- two versions agree.
CREATE TABLE cron_entries (
  name text CONSTRAINT cron_entries_pkey PRIMARY KEY,
  schedule text NOT NULL,                                  -- five fields, matched against the local clock of the zone
  time_zone text NOT NULL,                                 -- of the IANA database
  catch_up text NOT NULL,                                  -- of ticks that were missed: each, the newest once, or none
  next_tick_at timestamptz NOT NULL,
  is_enabled boolean NOT NULL DEFAULT true,                -- false: an operator has switched it off
  CONSTRAINT cron_entries_catch_up_check CHECK (catch_up IN ('each', 'once', 'skip'))
);

-- The ticks that have run: the primary key makes each one once, however many processes look.
CREATE TABLE cron_ticks (
  name text NOT NULL CONSTRAINT cron_ticks_name_fkey REFERENCES cron_entries (name) ON DELETE CASCADE,
  tick_at timestamptz NOT NULL,
  job_id uuid NOT NULL,                                    -- jobs are removed sooner than ticks, hence no foreign key
  created_at timestamptz NOT NULL DEFAULT loquent_now(),
  CONSTRAINT cron_ticks_pkey PRIMARY KEY (name, tick_at)
);
