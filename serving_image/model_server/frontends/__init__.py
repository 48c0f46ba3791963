"""Processes that speak the protocols beside the one that has the model, where there are processors for them.

The first process has everything: the model, the labels, the metrics, the ports. A front end is handed some of its
connections and does for them what takes the most time of a small request: reading, checking, writing. What it asks
and what it is told go over a socket between the two, in `packing`'s form. So a label is counted in one place, rows of
all connections go together, and memory holds the model once (decision 0018).

What they say to each other:

    first process → front end                       front end → first process
    model      its signatures                       ready      it may be given connections
    standing   phase, where requests go             ask        number, question
    remark     why there are no ids, or None        labels     number, labels, who passed them on
    answer     number, answer or results            cancel     number of what nobody waits for
    error      number, kind, text                   observed   a request, for the metrics
    finish     answer what is asked, and end        forwarded  a request was passed on, and what came of it
                                                    copied     likewise of copies, and how many
                                                    expect     a copy is sent of the request with this id
                                                    settle     what is known of the answer to it
                                                    closed     one of the connections it was given
"""
