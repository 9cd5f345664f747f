"""What benches/models.rs is compared with: the CPU seconds of scikit-learn on the same rows.

Run by the bench: scikit_learn.py FILE ROWS COLUMNS, where FILE has the cells row by row and then the labels, as doubles.
"""

import sys
import time

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

path, rows, columns = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
numbers = np.fromfile(path)
cells, labels = numbers[: rows * columns].reshape(rows, columns), numbers[rows * columns :]
models = {
    "logistic": lambda: LogisticRegression(C=1.0, max_iter=200),
    "boosting": lambda: HistGradientBoostingClassifier(max_iter=100, early_stopping=False, random_state=0),
}
for name, make in models.items():
    seconds = []
    for _ in range(3):
        start = time.process_time()
        make().fit(cells, labels)
        seconds.append(time.process_time() - start)
    print(name, min(seconds))
