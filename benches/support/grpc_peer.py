"""What a team would write instead: a gRPC service of grpcio that asks a model of scikit-learn for each customer.

Needs grpcio and scikit-learn. Says on its first line where it listens. A request is the number of a customer as text, an
answer their probability as text: a service of its own messages would take a little longer.
"""

import sys
from concurrent import futures

import grpc
import numpy
from sklearn.linear_model import LogisticRegression

CUSTOMERS, FEATURES, THREADS = int(sys.argv[1]), 30, 4

random = numpy.random.default_rng(0)
known = random.standard_normal((CUSTOMERS, FEATURES))
left = random.random(CUSTOMERS) < 1 / (1 + numpy.exp(-(known[:, 0] - known[:, 1] - 1.5)))
some = min(CUSTOMERS, 20_000)
model = LogisticRegression().fit(known[:some], left[:some])


def predict(request: bytes, _context: grpc.ServicerContext) -> bytes:
    customer = known[int(request)].reshape(1, -1)
    return str(model.predict_proba(customer)[0, 1]).encode()


server = grpc.server(futures.ThreadPoolExecutor(THREADS))
handlers = {"Predict": grpc.unary_unary_rpc_method_handler(predict)}
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Peer", handlers),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(f"127.0.0.1:{port}", flush=True)
server.wait_for_termination()
