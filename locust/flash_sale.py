"""The flash sale by Locust: `locust -f locust/flash_sale.py --headless -u 40 -r 40 --strategy lua`.

The users send so many orders for one stock, all together, and the run ends by itself; also with
--processes, where each process is a replica. It prints what was sold and what is left, and ends with exit
code 1 where more was sold than there was. `--host redis://…` comes before REDIS_CONN. The other arguments:

    --strategy        STRATEGY        lua (the default), lock, watch or naive
    --stock           STOCK           what there is to sell, default 10
    --orders          ORDERS          how many orders are sent in all, default 40
    --per-user-limit  PER_USER_LIMIT  how many each of half as many customers may have, default any
    --sku             SKU             what is sold, default flash-sale
    --key-prefix      KEY_PREFIX      what all keys begin with, default redislock
    --max-retries     MAX_RETRIES     repetitions of an order by WATCH, default 10

Orders wait in the stock's outbox: `redislock relay` moves them into a database.
"""

from locust import events

from redislock.locust import add_arguments
from redislock.locust.selling import SaleUser, add_sale_arguments, listen

events.init_command_line_parser.add_listener(add_arguments)
events.init_command_line_parser.add_listener(add_sale_arguments)
events.init.add_listener(listen)


class Customer(SaleUser):
    """Sends the next order."""
