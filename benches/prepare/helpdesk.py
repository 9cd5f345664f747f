"""One line for each case of the Helpdesk log (Polato, "Dataset belonging to the help desk log of an Italian company",
4TU.ResearchData 2017), with what is known after its first two events, and whether the whole case took much effort: work
begun twice, waited twice, or solved twice.

    python3 helpdesk.py FILE > helpdesk_cases.csv        # FILE is helpdesk_events.csv.gz

helpdesk_cases.toml imports it.
"""

import csv
import gzip
import sys
from bisect import bisect_left
from collections import defaultdict
from datetime import datetime, timedelta

KNOWN = [
    "seriousness", "customer", "product", "responsible_section", "service_level", "service_type", "support_section",
    "workgroup", "resource",
]
LATER = [
    "hour", "weekday", "month", "load", "second_activity", "second_resource", "second_service_level", "gap_hours",
    "high_effort",
]
EFFORTS = ["Take in charge ticket", "Wait", "Resolve ticket"]


def main():
    cases = defaultdict(list)
    with gzip.open(sys.argv[1], "rt", newline="") as file:
        for number, row in enumerate(csv.DictReader(file)):
            cases[row["case_id"]].append((datetime.fromisoformat(row["timestamp"]), number, row))
    for events in cases.values():
        events.sort(key=lambda event: event[:2])
    begun = sorted({events[0][0] for events in cases.values()})
    out = csv.writer(sys.stdout)
    out.writerow(["case"] + KNOWN + LATER)
    for case, events in cases.items():
        (began, _, first), (followed, _, second) = events[0], events[:2][-1]
        activities = [row["activity"] for _, _, row in events]
        effort = any(activities.count(activity) >= 2 for activity in EFFORTS)
        load = bisect_left(begun, began) - bisect_left(begun, began - timedelta(days=7))
        out.writerow(
            [case] + [first[column] for column in KNOWN]
            + [began.hour, began.weekday(), began.year * 12 + began.month, load]
            + [second["activity"], second["resource"], second["service_level"]]
            + [(followed - began).total_seconds() / 3600, "true" if effort else "false"]
        )


main()
