/** What one thinks of a conversation's answers, as the server keeps it. */

import { queryOptions, useQuery, useQueryClient, type QueryClient } from "@tanstack/react-query";
import { useMemo } from "react";
import { useTranslation } from "react-i18next";

import type {
  ChoiceBody,
  ChoiceView,
  FeedbackView,
  MessageView,
  RatingBody,
  RatingView,
} from "@/api/generated/types.gen";
import { request } from "@/api/http";
import { tell, tellError } from "@/ui/toast";

export const feedbackQuery = (conversationId: string) =>
  queryOptions({
    queryKey: ["feedback", conversationId],
    queryFn: () => request<FeedbackView>(`/api/conversations/${conversationId}/feedback`),
    staleTime: 60_000,
  });

/** What one thinks of an answer; undefined while there is no judgement, or none is known yet. */
export const useRating = ({ id, conversation_id }: MessageView): RatingView | undefined =>
  useQuery({
    ...feedbackQuery(conversation_id),
    select: ({ ratings }) => ratings.find(({ message_id }) => message_id === id),
  }).data;

export interface Judging {
  /** Each resolves with whether it was done. */
  rate: (body: RatingBody) => Promise<boolean>;
  withdraw: (known: RatingView) => Promise<boolean>;
}

/** What is done at once on the page, and undone where the server refuses it. */
export function useJudging({ id, conversation_id: conversationId }: MessageView): Judging {
  const queries = useQueryClient();
  const { t } = useTranslation();
  return useMemo(() => {
    const path = `/api/messages/${id}/rating`;
    const put = (rating: RatingView | null) => putRating(queries, conversationId, id, rating);
    const rate = async (body: RatingBody) => {
      const before = ratingOf(queries, conversationId, id);
      put({ ...NOTHING, ...before, ...body, message_id: id });
      try {
        put(await request<RatingView>(path, { method: "PUT", body }));
        return true;
      } catch (error) {
        put(before ?? null);
        tellError(error, t("app.offline"));
        return false;
      }
    };
    const withdraw = async (known: RatingView) => {
      put(null);
      try {
        await request(path, { method: "DELETE" });
        tell(t("chat.feedback.withdrawn"), { label: t("chat.feedback.undo"), run: () => void rate(bodyOf(known)) });
        return true;
      } catch (error) {
        put(known);
        tellError(error, t("app.offline"));
        return false;
      }
    };
    return { rate, withdraw };
  }, [queries, t, id, conversationId]);
}

/** A judgement as it would be given again. */
export const bodyOf = ({ thumb, reasons, comment, edit }: RatingView): RatingBody => ({
  thumb,
  reasons: reasons as NonNullable<RatingBody["reasons"]>,
  comment,
  edit,
});

export async function choose(queries: QueryClient, conversationId: string, body: ChoiceBody): Promise<void> {
  const choice = await request<ChoiceView>("/api/choices", { method: "PUT", body });
  queries.setQueryData(
    feedbackQuery(conversationId).queryKey,
    (known) => known && { ...known, choices: [...known.choices.filter((other) => !samePair(other, choice)), choice] },
  );
}

const samePair = (a: ChoiceView, b: ChoiceView) => a.first_id === b.first_id && a.second_id === b.second_id;

const NOTHING = { comment: "", consent: false, created_ms: 0, updated_ms: 0, edit: null, reasons: [] };

const ratingOf = (queries: QueryClient, conversationId: string, messageId: string) =>
  queries
    .getQueryData(feedbackQuery(conversationId).queryKey)
    ?.ratings.find(({ message_id }) => message_id === messageId);

function putRating(queries: QueryClient, conversationId: string, messageId: string, rating: RatingView | null): void {
  queries.setQueryData(feedbackQuery(conversationId).queryKey, (known) => {
    if (!known) return known;
    const others = known.ratings.filter(({ message_id }) => message_id !== messageId);
    return { ...known, ratings: rating ? [...others, rating] : others };
  });
}
