"""A BMC by the server of pyghmi: server.py PORT SUITE FOLDER

The box is the file FOLDER/power. The server itself speaks suite 3; for suite 17 what it computes by SHA-1 is computed by
SHA-256, and the lengths that are written out in it are those of suite 17.
"""

import hashlib
import hmac
import sys
import types
import uuid

from pyghmi.ipmi import bmc
from pyghmi.ipmi.private import constants, serversession

port, suite, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]


class Session(serversession.ServerSession):
    def create_open_session_response(self, request):
        response = super().create_open_session_response(request)
        response[16], response[24] = 3, 4
        self.currhashlen = 16
        return response

    def _send_rakp4(self, tag, status):
        signed = bytes(self.Rm + self.managedsessionid + self.uuiddata)
        signature = hmac.new(self.sik, signed, hashlib.sha256).digest()[:16]
        self.send_payload(
            bytearray([tag, status, 0, 0]) + self.clientsessionid + signature,
            constants.payload_types["rakp4"],
            retry=False,
        )
        self.confalgo, self.integrityalgo = "aes", "sha256"
        self.sequencenumber = 1
        self.sessionid = int.from_bytes(self.clientsessionid, "little")


class Bmc(bmc.Bmc):
    def order(self, order):
        with open(folder + "/orders", "a") as orders:
            orders.write(order + "\n")

    def get_power_state(self):
        with open(folder + "/power") as power:
            return int(power.read())

    def set_power(self, power):
        self.order("set power %d" % power)
        with open(folder + "/power", "w") as file:
            file.write(str(power))

    def power_off(self):
        self.set_power(0)

    def power_on(self):
        self.set_power(1)

    def power_cycle(self):
        self.order("cycle")

    def get_system_guid(self):
        return uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")


if suite == 17:
    serversession.hashlib = types.SimpleNamespace(sha1=hashlib.sha256)
    serversession.ServerSession = Session
server = Bmc({"twobox": "secret"}, port=port, address="127.0.0.1")
print("ready", flush=True)
server.listen()
