-- What keeps the service itself running.

-- name: clock_offset
-- lanes: none
-- By how much a demo's clock was moved; no row in production.
SELECT offset_by FROM clock

-- name: move_clock
-- lanes: none
-- Move a demo's clock further; by how much it was moved altogether.
INSERT INTO clock (offset_by) VALUES (:by)
ON CONFLICT (one) DO UPDATE SET offset_by = clock.offset_by + excluded.offset_by
RETURNING offset_by

-- name: take_duty
-- lanes: none
-- Take or renew a duty that must run once; no row when another worker has it.
INSERT INTO duty_lease AS d (duty, worker, until) VALUES (:duty, :worker, :until)
ON CONFLICT (duty) DO UPDATE SET worker = excluded.worker, until = excluded.until
WHERE d.worker = excluded.worker OR d.until < :real
RETURNING duty
