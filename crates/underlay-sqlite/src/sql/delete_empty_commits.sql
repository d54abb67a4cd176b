-- The last commit stays: its sequence must not be given again, nor the places that follow from it. So does one
-- whose work is not done, which is found by it. `?3` is how many places a commit has.
DELETE FROM commits
WHERE sequence IN (
    SELECT sequence
    FROM commits
    WHERE event_count = 0
        AND recorded_at < ?1
        AND sequence < (SELECT max(sequence) FROM commits)
        AND NOT EXISTS (
            SELECT 1
            FROM work
            WHERE place >= commits.sequence * ?3
                AND place < (commits.sequence + 1) * ?3
        )
        AND NOT EXISTS (
            SELECT 1
            FROM work_later
            WHERE place >= commits.sequence * ?3
                AND place < (commits.sequence + 1) * ?3
        )
        AND NOT EXISTS (
            SELECT 1
            FROM dead_letters
            WHERE place >= commits.sequence * ?3
                AND place < (commits.sequence + 1) * ?3
        )
    LIMIT ?2
)
