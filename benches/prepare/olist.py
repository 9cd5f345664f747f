"""One line for each reviewed order of Olist (https://www.kaggle.com/datasets/olistbr/brazilian-ecommerce), with what was
known of it when it had arrived, and whether the review gave at most 2 of 5 points.

    python3 olist.py DIRECTORY > olist_orders.csv        # DIRECTORY has orders.csv.gz, order_items.csv.gz and so on

olist_orders.toml imports it.
"""

import csv
import gzip
import sys
from collections import defaultdict
from datetime import datetime
from pathlib import Path

COLUMNS = [
    "order_id", "status", "late", "days", "est", "approve", "carrier", "is_late", "freight_ratio", "items", "sellers",
    "price", "freight", "weight", "photos", "installments", "category", "seller_state", "payment", "customer_state",
    "dissatisfied",
]


def rows(name):
    with gzip.open(Path(sys.argv[1]) / f"{name}.csv.gz", "rt", newline="") as file:
        yield from csv.DictReader(file)


def by(key, name):
    return {row[key]: row for row in rows(name)}


def grouped(key, name):
    groups = defaultdict(list)
    for row in rows(name):
        groups[row[key]].append(row)
    return groups


def days(later, earlier):
    return "" if later is None or earlier is None else (later - earlier).total_seconds() / 86400


def truth(holds):
    return "true" if holds else "false"


def main():
    products, sellers, customers = by("product_id", "products"), by("seller_id", "sellers"), by("customer_id", "customers")
    items_of, payments_of = grouped("order_id", "order_items"), grouped("order_id", "order_payments")
    reviews_of = grouped("order_id", "order_reviews")
    out = csv.writer(sys.stdout)
    out.writerow(COLUMNS)
    for order in rows("orders"):
        key = order["order_id"]
        if key not in reviews_of:
            continue
        bought, approved, handed_over, delivered, promised = (
            datetime.fromisoformat(order[column]) if order[column] else None
            for column in (
                "order_purchase_timestamp", "order_approved_at", "order_delivered_carrier_date",
                "order_delivered_customer_date", "order_estimated_delivery_date",
            )
        )
        items, payments = items_of[key], payments_of[key]
        price = sum(float(item["price"]) for item in items)
        freight = sum(float(item["freight_value"]) for item in items)

        def of_products(column):
            values = (products.get(item["product_id"], {}).get(column, "") for item in items)
            return [float(value) for value in values if value]

        weights, photos = of_products("product_weight_g"), of_products("product_photos_qty")
        scores = [float(review["review_score"]) for review in reviews_of[key]]
        first = items[0] if items else None
        out.writerow([
            key, order["order_status"], days(delivered, promised), days(delivered, bought), days(promised, bought),
            days(approved, bought), days(handed_over, approved), truth(delivered and delivered > promised),
            freight / price if price else "", len(items), len({item["seller_id"] for item in items}),
            price if items else "", freight if items else "", sum(weights),
            sum(photos) / len(photos) if photos else "",
            max((int(payment["payment_installments"]) for payment in payments), default=""),
            products.get(first["product_id"], {}).get("product_category_name", "") if first else "",
            sellers.get(first["seller_id"], {}).get("seller_state", "") if first else "",
            payments[0]["payment_type"] if payments else "", customers[order["customer_id"]]["customer_state"],
            truth(sum(scores) / len(scores) <= 2),
        ])


main()
