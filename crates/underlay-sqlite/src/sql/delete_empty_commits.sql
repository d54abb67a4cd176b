-- The last commit stays: its sequence must not be given again.
DELETE FROM commits
WHERE sequence IN (
    SELECT sequence
    FROM commits
    WHERE event_count = 0
        AND recorded_at < ?1
        AND sequence < (SELECT max(sequence) FROM commits)
    LIMIT ?2
)
