/** A question before something that cannot be taken back. */

import { AlertDialog } from "radix-ui";
import { useTranslation } from "react-i18next";
import { create } from "zustand";

import { Button } from "@/ui/button";

interface Question {
  title: string;
  text: string;
  /** The word on the button that does it. */
  action: string;
}

interface Asked {
  question: (Question & { answer: (yes: boolean) => void }) | null;
}

const useAsked = create<Asked>(() => ({ question: null }));

/** Resolves with whether the person wants it. */
export function confirm(question: Question): Promise<boolean> {
  useAsked.getState().question?.answer(false);
  return new Promise((resolve) => {
    const answer = (yes: boolean) => {
      useAsked.setState({ question: null });
      resolve(yes);
    };
    useAsked.setState({ question: { ...question, answer } });
  });
}

/** Where the questions appear; once in the page. */
export function Confirms() {
  const { t } = useTranslation();
  const question = useAsked((state) => state.question);
  return (
    <AlertDialog.Root open={question !== null} onOpenChange={(open) => !open && question?.answer(false)}>
      <AlertDialog.Portal>
        <AlertDialog.Overlay className="fixed inset-0 z-[55] bg-black/40" />
        <AlertDialog.Content className="fixed top-1/2 left-1/2 z-[56] w-[calc(100vw-2rem)] max-w-md -translate-1/2 rounded-2xl border border-line bg-raised p-5 shadow-xl">
          <AlertDialog.Title className="text-lg font-semibold wrap-anywhere">{question?.title}</AlertDialog.Title>
          <AlertDialog.Description className="mt-2 text-sm text-soft">{question?.text}</AlertDialog.Description>
          <div className="mt-5 flex justify-end gap-2">
            <AlertDialog.Cancel asChild>
              <Button>{t("common.cancel")}</Button>
            </AlertDialog.Cancel>
            <Button look="danger" onClick={() => question?.answer(true)}>
              {question?.action}
            </Button>
          </div>
        </AlertDialog.Content>
      </AlertDialog.Portal>
    </AlertDialog.Root>
  );
}
