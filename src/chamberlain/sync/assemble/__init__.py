"""What an answer of /sync is made of, section by section (client-server API, Syncing).

`stored` reads whole answers from the database, in one snapshot and set by set; `recent` makes those of clients that
keep up out of the last changes in memory. Both fill the same blocks, which `write` puts into JSON.
"""
