-- Forgets a file's id, unless a newer one has taken its place.
-- Args: key, id.
drop_file(arg(1), arg(2))
return 'dropped'
