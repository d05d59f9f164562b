"""The way of one event.

    local:  submit → draft ┐
    remote: accept → checks → fetch ┤→ authorize → resolve → consequences → persist ══commit══► change stream

A room has one queue in each worker. What waits in it is drafted as one chain, each draft naming its predecessor
in `prev_events`, and committed as one unit onto the head that it was built on; where another worker was faster, the
whole chain is drafted anew.
"""
