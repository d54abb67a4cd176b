SELECT max(
    coalesce((SELECT max(place) FROM work), 0),
    coalesce((SELECT max(place) FROM work_later), 0)
)
