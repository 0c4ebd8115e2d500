-- Counters of budgets, changed in place: a row for each slot of a budget that was ever used. Those below 0 count no probes:
-- -1 the refusals that it caused, the others who was turned away at the door. Half of each page is left free,
-- so that a row is changed without touching the index.
CREATE TABLE budget_counters (
    kind text COLLATE "C" NOT NULL CONSTRAINT budget_counters_kind CHECK (kind IN ('USER', 'WORKSPACE', 'SERVICE')),
    subject text COLLATE "C" NOT NULL,
    slot bigint NOT NULL,
    period bigint NOT NULL,
    counted bigint NOT NULL,
    counted_before bigint NOT NULL,
    CONSTRAINT budget_counters_key PRIMARY KEY (kind, subject, slot)
) WITH (fillfactor = 50);
