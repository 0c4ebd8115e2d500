-- Counters of budgets, changed in place: a row for each slot of a budget that was ever used, and one, slot -1, for the
-- refusals that it caused. Half of each page is left free, so that a row is changed without touching the index.
CREATE TABLE budget_counters (
    kind text COLLATE "C" NOT NULL CONSTRAINT budget_counters_kind CHECK (kind IN ('USER', 'WORKSPACE', 'SERVICE')),
    subject text COLLATE "C" NOT NULL,
    slot bigint NOT NULL,
    period bigint NOT NULL,
    counted bigint NOT NULL,
    counted_before bigint NOT NULL,
    CONSTRAINT budget_counters_key PRIMARY KEY (kind, subject, slot)
) WITH (fillfactor = 50);
