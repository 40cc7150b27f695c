"""Behind several Executors that answer the same question: all of them count alike."""

from typing import Any

from dure import DocumentArray, Executor, requests


class Vote(Executor):
    @requests(on="/classify")
    def vote(self, docs: DocumentArray, docs_matrix: list[DocumentArray], **_: Any) -> None:
        for row, doc in enumerate(docs):
            answers = [branch[row].scores for branch in docs_matrix]
            doc.scores = {digit: sum(answer[digit] for answer in answers) / len(answers) for digit in answers[0]}
            doc.tags["digit"] = int(max(doc.scores, key=doc.scores.__getitem__))
