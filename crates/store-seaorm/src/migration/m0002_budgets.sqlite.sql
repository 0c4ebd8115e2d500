-- Counters of budgets, changed in place: a row for each slot of a budget that was ever used. Those below 0 count no probes:
-- -1 the refusals that it caused, the others who was turned away at the door.
CREATE TABLE budget_counters (
    kind TEXT NOT NULL CONSTRAINT budget_counters_kind CHECK (kind IN ('USER', 'WORKSPACE', 'SERVICE')),
    subject TEXT NOT NULL,
    slot INTEGER NOT NULL,
    period INTEGER NOT NULL,
    counted INTEGER NOT NULL,
    counted_before INTEGER NOT NULL,
    PRIMARY KEY (kind, subject, slot)
) STRICT, WITHOUT ROWID;
