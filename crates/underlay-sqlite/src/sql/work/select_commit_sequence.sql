SELECT sequence
FROM commits
WHERE tenant = ?1
    AND commit_id = ?2
