"""What the two databases could do differently, once more on PostgreSQL."""

from functools import partial
from typing import Any

import pytest

from tests.server.conversations import test_feedback, test_keeping, test_lists, test_sharing, test_turns
from tests.server.conversations.conftest import OpenWorld

CHECKS = (
    test_turns.test_stop_keeps_what_there_is_and_continue_goes_on_there,
    test_keeping.test_another_process_sees_the_answer_grow_and_can_stop_it,
    test_keeping.test_an_answer_whose_server_died_is_interrupted_and_can_be_continued,
    test_lists.test_pinned_ones_come_first_and_then_the_last_used,
    test_lists.test_case_20_deletion_leaves_nothing_behind,
    test_sharing.test_a_link_ends_with_revocation_deletion_and_the_account,
    test_feedback.test_case_15_many_ratings_of_one_answer_are_one,
    test_feedback.test_a_choice_is_between_answers_to_the_same_question,
    test_feedback.test_case_20_administrators_read_words_only_where_they_may,
)


@pytest.mark.anyio
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("test_"))
async def test_it_holds_on_postgresql_too(check: Any, world: OpenWorld, postgres_url: str) -> None:
    await check(partial(world, database_url=postgres_url))
