import pytest
from tests.factories import *
from delivery import inbound
from providers.base import InboundMessage
@pytest.mark.django_db
def test_it(sandbox):
    a=make_account()
    i=inbound.store(a.pk, InboundMessage(provider_ref="S"*5000,from_e164="x"*5000,to_value="y"*5000,text="hello"),{})
    inbound.apply(i)
