"""What the K-Means of benches/models.rs is compared with: CPU seconds and inertia of scikit-learn on the same rows.

Run by the bench: scikit_learn_kmeans.py FILE ROWS COLUMNS K, where FILE has the cells row by row, as doubles.
"""

import sys
import time

import numpy as np
from sklearn.cluster import KMeans

path, rows, columns, k = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
cells = np.fromfile(path).reshape(rows, columns)
fits = []
for turn in range(3):
    start = time.process_time()
    fitted = KMeans(n_clusters=k, random_state=turn).fit(cells)
    fits.append((time.process_time() - start, fitted.inertia_))
print("seconds", min(fit[0] for fit in fits))
print("inertia", min(fit[1] for fit in fits))
